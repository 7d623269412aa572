"""
node: one task in a flow that is being built.
"""


class Node:
    """
    A task of a flow, for ``after=`` of others. Made by :meth:`Flow.add`.

    Attributes:
        name: Its name in the flow.
        flow: The flow, which knows its nodes.
        index: Its place in the flow, in the order in which they were added.
    """

    __slots__ = ("flow", "index", "name")

    def __init__(self, name: str, flow: object, index: int) -> None:
        self.name = name
        self.flow = flow
        self.index = index

    def __repr__(self) -> str:
        return f"<Node {self.name}>"
