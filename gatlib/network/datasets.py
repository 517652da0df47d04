"""The networks of data set cards: verified files, read by the format that the card names."""

from pathlib import Path

from gatlib.data.cards import NetworkCard, load_network_card
from gatlib.data.files import verified_file
from gatlib.network.sources import LabelledNetwork


def read_network_dataset(name: str, data_dir: Path | None = None) -> LabelledNetwork:
    """The network of a card, with the labels of its nodes and the splits that come with it.

    Formats: ``tables``, edges, labels and features as :func:`gatlib.network.reading.read_network` reads them;
    ``planetoid``, see :func:`gatlib.network.planetoid.read_planetoid`; ``heterophilous``, see
    :func:`gatlib.network.heterophilous.read_heterophilous`.

    Args:
        name: of the card.
        data_dir: folder of the data files.

    Raises:
        InputError: no such card, or that of molecules; a file is missing and cannot be downloaded, or is another file.
    """
    card = load_network_card(name)
    files = {role: verified_file(file, card.name, data_dir) for role, file in card.files.items()}
    if card.format == "tables":
        return _read_tables(card, files)
    if card.format == "planetoid":
        from gatlib.network.planetoid import read_planetoid

        network, labels, split = read_planetoid(files)
        return LabelledNetwork(network, labels, card.target, None, card.name, (split,))
    from gatlib.network.heterophilous import read_heterophilous

    network, labels, splits = read_heterophilous(files["npz"])
    return LabelledNetwork(network, labels, card.target, None, card.name, splits)


def _read_tables(card: NetworkCard, files: dict[str, Path]) -> LabelledNetwork:
    from gatlib.network.reading import read_network

    network, found = read_network(
        files["edges"], files.get("features"), files["labels"], card.target, id_column=card.id_column
    )
    assert found is not None
    return LabelledNetwork(network, found.labels, card.target, None, card.name)
