"""Lists of edges: columns, delimiters, first lines, weights, and all that makes a list unreadable."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from gatlib.errors import InputError
from gatlib.network import memory
from gatlib.network.edges import read_edges
from gatlib.network.network import EdgeList


def write(folder: Path, name: str, content: bytes | str) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def pairs(edges: EdgeList) -> list[tuple[str, str]]:
    return [(edges.ids[a], edges.ids[b]) for a, b in zip(edges.source, edges.target, strict=True)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.csv", "source,target\nann,bob\nbob,007\n"),
        ("e.csv.gz", "source,target\nann,bob\nbob,007\n"),
        ("e.tsv", "Target\tSource\nbob\tann\n007\tbob\n"),
        ("e.csv", "id;from;to\n1;ann;bob\n2;bob;007\n"),
        ("e.txt", "id_1 id_2\nann   bob\n bob 007\n"),
        ("e.csv", '\ufeffnode_1,node_2\r\n" ann",bob\r\nbob,007\r\n'),
        ("e.csv", "# people\n% more\n\nfollower,followed\nann,bob\nbob,007"),
        ("e.csv", 'note,source,target\n"a, b",ann,bob\n,bob,007\n'),
    ],
    ids=["csv", "gz", "tsv, swapped", "semicolon", "spaces", "mark and line ends", "other names", "quoted"],
)
def test_edges_are_read(name: str, content: str, tmp_path: Path) -> None:
    edges = read_edges(write(tmp_path, name, content))
    assert pairs(edges) == [("ann", "bob"), ("bob", "007")]
    assert edges.ids == ["ann", "bob", "007"]
    assert edges.weight is None


@pytest.mark.parametrize("first", ["", "# FromNodeId\tToNodeId\n"], ids=["bare", "snap"])
def test_two_numbers_in_the_first_line_are_an_edge(first: str, tmp_path: Path) -> None:
    edges = read_edges(write(tmp_path, "e.txt", f"{first}10\t2\n2\t40\n"))
    assert pairs(edges) == [("10", "2"), ("2", "40")]
    assert edges.notes == []


def test_times_of_a_list_without_names_are_no_weights(tmp_path: Path) -> None:
    edges = read_edges(write(tmp_path, "e.txt", "1 2 1082040961\n3 4 1082155839\n"))
    assert edges.weight is None
    assert edges.notes == ["columns after the second of e.txt are not used: a first line names a 'weight'"]


def test_ids_are_text_as_it_stands(tmp_path: Path) -> None:
    edges = read_edges(write(tmp_path, "e.csv", "source,target\n1,01\nNA,null\n1.0,#x\n"))
    assert edges.ids == ["1", "01", "NA", "null", "1.0", "#x"]


def test_a_column_of_weights(tmp_path: Path) -> None:
    edges = read_edges(write(tmp_path, "e.csv", "source,target,Weight\na,b,1\nb,c,2.5\n"))
    assert edges.weight is not None
    np.testing.assert_array_equal(edges.weight, [1, 2.5])


def test_unknown_names_leave_a_note(tmp_path: Path) -> None:
    edges = read_edges(write(tmp_path, "e.csv", "a,b,since\nx,y,2020\n"))
    assert edges.notes == ["edges of e.csv lead from 'a' to 'b', its first two columns", "not used of e.csv: 'since'"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", r"e\.csv is empty$"),
        ("source,target\n", r"e\.csv has no edges$"),
        ("source\na\n", "has one column: an edge needs two"),
        ("source,target\na,b\n ,c\n", "data row 2: the source of the edge is blank: name it or leave the row out"),
        ("source,target\na,b\nc\n", "data row 2: the target of the edge is blank"),
        ("source,target\na,b\nc,d,e\n", r"e\.csv, line 3 has 3 fields where the first line has 2: put text"),
        ('source,target\na,b\n"c,d\n', r"cannot be read as a table \(.*\): look for an open quote"),
        ("source,target,weight\na,b,1\nb,c,0\n", "data row 2: weight '0' is not a finite number above 0"),
        ("source,target,weight\na,b,\n", "data row 1: weight '' is not"),
        ("source,target,weight\na,b,inf\n", "data row 1: weight 'inf' is not"),
        ("source,target,weight\na,b,x\n", "data row 1: weight 'x' is not"),
        ("ann,bob\nbob,eve\n", r"its first line \(ann, bob\) names nodes: put a first line"),
        ("source,weight\na,1\n", "column 'weight' cannot be an end of the edges"),
        ("source,target\na,b\n".encode("utf-16"), r"is UTF-16 text: save it as UTF-8$"),
        (b"x" * (1 << 20), "line 1 is longer than 1,048,576 bytes: this is no table"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(content: str | bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        read_edges(write(tmp_path, "e.csv", content))


def test_a_missing_file_a_folder_and_a_broken_pack_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file .*none\.csv"):
        read_edges(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_edges(tmp_path)
    packed = gzip.compress(b"source,target\n" + b"".join(b"%d,%d\n" % (i, i * 7) for i in range(99999)))
    (tmp_path / "cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match="is not a whole gzip file"):
        read_edges(tmp_path / "cut.csv.gz")


def test_rows_are_counted_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gatlib.network import edges, text_tables

    monkeypatch.setattr(
        edges, "open_text_table", lambda path, **options: text_tables.open_text_table(path, chunk_rows=2, **options)
    )
    found = read_edges(write(tmp_path, "e.csv", "source,target\na,b\nb,c\nc,d\nd,a\na,e\n"))
    assert pairs(found) == [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("a", "e")]
    with pytest.raises(InputError, match="data row 5: the target of the edge is blank"):
        read_edges(write(tmp_path, "e.csv", "source,target\na,b\nb,c\nc,d\nd,a\na,\n"))
    with pytest.raises(InputError, match="line 5 has 3 fields where the first line has 2"):
        read_edges(write(tmp_path, "e.csv", "source,target\na,b\nb,c\nc,d\nd,a,x\n"))


def test_more_edges_than_memory_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 8 * 10**9)
    path = write(tmp_path, "e.csv", "source,target\n" + "12345,67890\n" * 10_000)
    assert len(read_edges(path).source) == 10_000
    os.truncate(path, 10 * 10**9)  # a file with a hole: it takes no space
    with pytest.raises(InputError, match=r"holds about 8\d\d,\d{3},\d{3} edges, which would take .* 8\.0 GB are free"):
        read_edges(path)


def test_a_packed_list_that_turns_out_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 5_000 * memory.BYTES_PER_EDGE)
    path = write(tmp_path, "e.csv.gz", "source,target\n" + "12345,67890\n" * 10_000)
    with pytest.raises(InputError, match="holds more than the 5,000 edges that fit into free memory"):
        read_edges(path)


def test_free_memory_is_a_number_of_bytes_and_no_more_than_a_container_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.free_memory() > 1 << 20
    (tmp_path / "memory.current").write_text("3000000\n")
    (tmp_path / "memory.stat").write_text("anon 2000000\nfile 1000000\ninactive_file 400000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() > 1 << 20
    (tmp_path / "memory.max").write_text("3500000\n")
    assert memory.free_memory() == 900_000


def test_the_unpacked_size_of_a_packed_file(tmp_path: Path) -> None:
    text = "".join(f"{row},{row * 7}\n" for row in range(5000))
    assert memory.unpacked_size(write(tmp_path, "e.csv.gz", text)) == len(text)
    assert memory.unpacked_size(write(tmp_path, "e.csv", "0,1\n" * 5000)) == 20_000
