"""The files of an explanation."""

import json
from contextlib import ExitStack
from pathlib import Path

from gatlib.data.files import atomic_path
from gatlib.errors import InputError
from gatlib.network.explain.drawing import draw_neighbourhood
from gatlib.network.explain.explanation import NodeExplanation, attributes_table, neighbours_table
from gatlib.network.explain.neighbourhood import neighbourhood
from gatlib.network.explain.page import neighbourhood_page
from gatlib.network.network import Network
from gatlib.network.predict import write_table

FILES = ("explanation.json", "neighbours.csv", "attributes.csv", "neighbourhood.png", "neighbourhood.html")


def write_explanation(explanation: NodeExplanation, network: Network, folder: Path) -> None:
    """Write :data:`FILES` into a folder; they appear, or take the place of older ones, when all are whole.

    Args:
        explanation: of a node.
        network: the graph that it was made from.
        folder: where; made if it is not there.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to the folder {folder}: {error.strerror}") from None
    shown = neighbourhood(explanation, network)
    with ExitStack() as stack:
        content, neighbours, attributes, picture, page = (
            stack.enter_context(atomic_path(folder / name)) for name in FILES
        )
        # Bytes of an id that are not UTF-8 become the escapes that JSON has for them.
        text = json.dumps(explanation.model_dump(), indent=1, ensure_ascii=False) + "\n"
        content.write_bytes(text.encode("utf-8", "backslashreplace"))
        write_table(neighbours_table(explanation), neighbours)
        write_table(attributes_table(explanation), attributes)
        draw_neighbourhood(explanation, shown, picture)
        page.write_text(neighbourhood_page(explanation, shown, network), encoding="utf-8")
