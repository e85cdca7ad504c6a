"""The size of an operation. Every selected field costs one, at each place where its fragment is used."""

from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, InlineFragmentNode, OperationDefinitionNode, SelectionSetNode

Size = tuple[int, int]  # cost and depth
Fragments = dict[str, FragmentDefinitionNode]


def root_fields(operation: OperationDefinitionNode, fragments: Fragments) -> int:
    """The number of root fields of a valid operation. Each may query the database, however little it selects."""
    counted: dict[str, int] = {}

    def count(selections: SelectionSetNode) -> int:
        number = 0
        for node in selections.selections:
            if isinstance(node, FieldNode):
                number += 1
            elif isinstance(node, InlineFragmentNode):
                number += count(node.selection_set)
            else:
                assert isinstance(node, FragmentSpreadNode)
                name = node.name.value
                if name not in counted:
                    counted[name] = count(fragments[name].selection_set)
                number += counted[name]
        return number

    return count(operation.selection_set)


def size_of(operation: OperationDefinitionNode, fragments: Fragments) -> Size:
    """Cost and depth of a valid operation. Introspection costs nothing, since a validation rule bounds it."""
    return _Measure(fragments).selection(operation.selection_set)


class _Measure:
    """Measures each fragment once, because nested spreads multiply exponentially."""

    def __init__(self, fragments: Fragments) -> None:
        self._fragments = fragments
        self._known: dict[str, Size] = {}

    def selection(self, selections: SelectionSetNode | None) -> Size:
        cost, depth = 0, 0
        for node in selections.selections if selections is not None else ():
            if isinstance(node, FieldNode):
                below = self.selection(node.selection_set)
                found = (0, 0) if node.name.value == "__schema" else (below[0] + 1, below[1] + 1)
            elif isinstance(node, InlineFragmentNode):
                found = self.selection(node.selection_set)
            else:
                assert isinstance(node, FragmentSpreadNode)
                found = self._fragment(node.name.value)
            cost, depth = cost + found[0], max(depth, found[1])
        return cost, depth

    def _fragment(self, name: str) -> Size:
        if name not in self._known:
            self._known[name] = self.selection(self._fragments[name].selection_set)
        return self._known[name]
