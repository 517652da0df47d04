"""Draws some of the edges that lead to each of some nodes, and numbers the nodes that they come from."""

import numpy as np

from gatlib.kernels.cpu.compiled import compiled


@compiled
def draw(rowptr, col, nodes, at_most, random, place, next_place, slots, sources, found):
    """Fills `slots` and `sources`, one for each edge drawn, and `found`; returns how many nodes were found.

    Args:
        rowptr, col: the sources of the edges to each node, in CSR order.
        nodes: whose edges are drawn.
        at_most: edges for each of them, drawn without replacement, any set of so many being as likely as any other.
        random: a NumPy generator.
        place: of each node of the graph, -1 where it has none yet; those found get one, from next_place on.
        slots: where in `col` the edges are, node by node.
        sources: the places of the nodes that they come from.
        found: these nodes, as far as they had no place before.
    """
    end = 0
    for node in nodes:
        first, degree = rowptr[node], rowptr[node + 1] - rowptr[node]
        if degree <= at_most:
            for slot in range(first, first + degree):
                slots[end] = slot
                end += 1
            continue
        # Floyd's way (Bentley and Floyd, CACM 1987): a slot that was drawn before stands for the last one.
        begin = end
        for last in range(first + degree - at_most, first + degree):
            slot = first + np.int64(random.random() * (last - first + 1))
            for before in range(begin, end):
                if slots[before] == slot:
                    slot = last
                    break
            slots[end] = slot
            end += 1
    num_found = 0
    for number in range(end):
        node = col[slots[number]]
        if place[node] < 0:
            place[node] = next_place + num_found
            found[num_found] = node
            num_found += 1
        sources[number] = place[node]
    return num_found
