"""XML is looked at before a reader builds anything of it."""

from pathlib import Path
from xml.parsers import expat

from gatlib.data.files import open_bytes
from gatlib.errors import InputError

_BLOCK = 1 << 20


def check_xml(path: Path) -> None:
    """Refuses what can harm a reader, entities above all, and edges of nodes that the file does not have.

    A few lines of entities that name each other unfold to gigabytes ("billion laughs"), and external ones read other
    files. A graph needs neither, so no document type is read at all.

    Args:
        path: GraphML or GEXF, packed or not.

    Raises:
        InputError: on a document type or an entity, on broken XML, on an edge that names an unknown node.
    """
    nodes: set[str] = set()
    first_edge_of: dict[str, int] = {}
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise InputError(
            f"{path}, line {parser.CurrentLineNumber} declares a document type or an entity, which is never read: "
            "take the declaration out"
        )

    def start(name: str, attributes: dict[str, str]) -> None:
        kind = name.rpartition(":")[2]
        if kind == "node":
            nodes.add(attributes.get("id", ""))
        elif kind == "edge":
            for end in ("source", "target"):
                first_edge_of.setdefault(attributes.get(end, ""), parser.CurrentLineNumber)

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    with open_bytes(path) as file:
        try:
            while block := file.read(_BLOCK):
                parser.Parse(block, False)
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise InputError(f"{path} is not XML that can be read ({error}): write it anew") from None
    for node, line in first_edge_of.items():
        if node not in nodes:
            raise InputError(f"{path}, line {line}: an edge names the node {node!r:.60}, which the file does not have")
