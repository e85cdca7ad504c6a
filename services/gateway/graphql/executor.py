"""graphql-core's executor, extended to pass shaped values through and to refuse introspection if it is switched off."""

from typing import Any

from graphql import GraphQLError
from graphql.execution.executor import Executor
from graphql.pyutils import Path

from services.gateway.errors import forbidden
from services.gateway.graphql.shape import Shaped


class ShapedExecutor(Executor[Any]):
    allows_introspection = True

    def complete_value(self, return_type: Any, field_details_list: Any, info: Any, path: Path, result: Any, position_context: Any) -> Any:
        if type(result) is not Shaped:
            return super().complete_value(return_type, field_details_list, info, path, result, position_context)
        for error in result.failures:
            self.collected_errors.add(error, _as_path(error))
        return result.value

    def execute_field(self, parent_type: Any, source: Any, field_details_list: Any, path: Path, position_context: Any) -> Any:
        node = field_details_list[0].node
        if node.name.value in ("__schema", "__type") and not self.allows_introspection:
            refusal = forbidden("introspection is switched off")
            self.collected_errors.add(GraphQLError(str(refusal), node, path=path.as_list(), original_error=refusal), path)
            return None
        return super().execute_field(parent_type, source, field_details_list, path, position_context)


class WithoutIntrospection(ShapedExecutor):
    allows_introspection = False


def _as_path(error: GraphQLError) -> Path | None:
    path: Path | None = None
    for key in error.path or ():
        path = Path(path, key, None)
    return path
