"""GraphQL over WebSocket: a connection, its authentication, and its operations."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, aclosing, suppress
from typing import Any

import structlog
from aiohttp import WSMsgType, hdrs, web
from graphql import GraphQLError

from services.gateway.call import GATEWAY, Gateway
from services.gateway.errors import RequestError, public_text
from services.gateway.frame.answers import encode
from services.gateway.frame.credentials import TOKEN_HEADER, Guard
from services.gateway.frame.layers import lift_deadline
from services.gateway.graphql.failures import UNAVAILABLE, RequestFailure, error_object
from services.gateway.graphql.protocol import SUBPROTOCOL, Close, Closed, Message, Operation, read_message, read_operation
from services.gateway.people.auth.tokens import token_of
from services.gateway.people.identity import User
from shared.errors import Unavailable
from shared.loops import end

log = structlog.get_logger()
Json = dict[str, Any]

# Yields the payloads of ``next``. Raises RequestFailure when the operation cannot be started.
Operate = Callable[[Gateway, User, Operation], AsyncGenerator[Json, None]]

INIT_S = 10.0
CLOSE_S = 1.0
MAX_OPERATIONS = 50  # concurrent, per connection
MAX_MESSAGE_BYTES = 1024 * 1024


async def serve(request: web.Request, operate: Operate) -> web.StreamResponse:
    """Upgrade, and serve the connection until either side closes it. Raises RequestError for a bad token in a header, Unavailable."""
    gateway = request.app[GATEWAY]
    is_known = bool(token_of(request.headers))
    # Until it authenticates, a connection counts against its address. User names cannot start with NUL.
    who = (await gateway.auth.guards.admit(Guard.PAGE, request)).name if is_known else f"\0{gateway.auth.allow_list.address(request)}"
    with ExitStack() as place:
        place.enter_context(gateway.live.clients.admitted(who, "websocket"))
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            timeout=CLOSE_S,
            heartbeat=gateway.settings.live_keepalive_s,
            max_msg_size=MAX_MESSAGE_BYTES,
            compress=False,  # a compression window per client costs more memory than compression saves
        )
        await socket.prepare(request)
        lift_deadline(request)
        connection = Connection(request, gateway, socket, operate, place)
        try:
            await connection.run()
        except Closed as e:
            await socket.close(code=e.code, message=e.reason)
        except (ConnectionResetError, TimeoutError):
            pass  # the client disconnected, or was too slow
        return socket


class Connection:
    """One socket. All its operations end with it."""

    def __init__(self, request: web.Request, gateway: Gateway, socket: web.WebSocketResponse, operate: Operate, place: ExitStack) -> None:
        self._request = request
        self._gateway = gateway
        self._socket = socket
        self._operate = operate
        self._place = place
        self._who: _Who | None = None
        self._is_initialised = False
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._sent = gateway.live.numbers.events.labels("websocket")

    async def run(self) -> None:
        """Raises Closed, ConnectionResetError."""
        if self._socket.ws_protocol != SUBPROTOCOL:
            raise Closed(Close.NO_SUBPROTOCOL, f"the subprotocol {SUBPROTOCOL} is required")
        closing = asyncio.ensure_future(self._gateway.live.feed.closed.wait())
        reading = asyncio.ensure_future(self._read())
        watching = asyncio.ensure_future(self._watch())
        try:
            done, _ = await asyncio.wait({closing, reading, watching}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {closing}:
                task.result()
            if closing in done:
                raise Closed(Close.GOING_AWAY, "the gateway is stopping")
        finally:
            await end({closing, reading, watching, *self._operations.values()})

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.TEXT:
                await self._take(read_message(message.data))
            elif message.type is WSMsgType.BINARY:
                raise Closed(Close.BAD_REQUEST, "messages are text")

    async def _take(self, message: Message) -> None:
        if message.kind == "connection_init":
            await self._initialise(message.payload or {})
        elif message.kind == "ping":
            await self._send({"type": "pong", "payload": message.payload} if message.payload else {"type": "pong"})
        elif message.kind == "subscribe":
            await self._begin(message)
        elif message.kind == "complete" and (task := self._operations.pop(message.id, None)) is not None:
            task.cancel()

    # authentication

    async def _initialise(self, payload: Json) -> None:
        if self._is_initialised:
            raise Closed(Close.TOO_MANY_INITS, "too many initialisation requests")
        self._is_initialised = True
        who = _Who(self._request, self._gateway, _token_in(payload))
        try:
            user = await who.user()
            self._place.close()
            self._place.enter_context(self._gateway.live.clients.admitted(user.name, "websocket"))
        except RequestError as e:
            raise Closed(Close.FORBIDDEN, str(e)) from e
        except Unavailable as e:
            raise Closed(Close.TRY_AGAIN, "try again later") from e
        self._who = who
        await self._send({"type": "connection_ack"})

    async def _watch(self) -> None:
        """Close the connection when the client does not authenticate in time, or its access ends or changes."""
        await asyncio.sleep(INIT_S)
        if self._who is None:
            raise Closed(Close.INIT_TIMEOUT, "connection initialisation timeout")
        while True:
            await asyncio.sleep(self._gateway.settings.live_recheck_s)
            if not await self._who.is_still_valid():
                raise Closed(Close.FORBIDDEN, "the session ended or its permissions changed")

    # operations

    async def _begin(self, message: Message) -> None:
        if self._who is None or self._who.known is None:
            raise Closed(Close.UNAUTHORIZED, "connection_init comes first")
        operation = read_operation(message.payload)
        if message.id in self._operations:
            raise Closed(Close.DUPLICATE, f"subscriber for {message.id[:50]} already exists")
        if len(self._operations) >= MAX_OPERATIONS:
            await self._send_error(message.id, [{"message": f"no more than {MAX_OPERATIONS} operations at once"}])
            return
        task = asyncio.ensure_future(self._run(message.id, self._who.known, operation))
        self._operations[message.id] = task
        task.add_done_callback(lambda ended: self._forget(message.id, ended))

    def _forget(self, key: str, task: "asyncio.Task[None]") -> None:
        if self._operations.get(key) is task:  # the client may have started another operation with this id
            del self._operations[key]

    async def _run(self, key: str, user: User, operation: Operation) -> None:
        with suppress(ConnectionResetError, TimeoutError):  # the reading task notices the disconnect
            await self._answer(key, user, operation)

    async def _answer(self, key: str, user: User, operation: Operation) -> None:
        try:
            async with aclosing(self._operate(self._gateway, user, operation)) as payloads:
                async for payload in payloads:
                    await self._send({"id": key, "type": "next", "payload": payload})
                    self._sent.inc()
        except RequestFailure as e:
            await self._send_error(key, [error_object(error) for error in e.errors])
        except (ConnectionResetError, TimeoutError):
            raise
        except RequestError as e:
            await self._send_error(key, [error_object(GraphQLError(str(e), original_error=e))])
        except Unavailable as e:
            log.warning("operation_failed", why=str(e))
            await self._send_error(key, [{"message": public_text(e), "extensions": {"code": UNAVAILABLE}}])
        except Exception:
            number = uuid.uuid4().hex[:12]
            log.exception("operation_crashed", error=number)
            await self._send_error(key, [{"message": f"internal error, see the log for error {number}"}])
        else:
            self._operations.pop(key, None)  # before sending: the client may reuse the id at once
            await self._send({"id": key, "type": "complete"})

    async def _send_error(self, key: str, errors: list[Json]) -> None:
        self._operations.pop(key, None)
        await self._send({"id": key, "type": "error", "payload": errors})

    async def _send(self, message: Json) -> None:
        """Disconnect a client that does not read for two keepalive intervals."""
        try:
            async with asyncio.timeout(2 * self._gateway.settings.live_keepalive_s):
                await self._socket.send_str(encode(message).decode())
        except TimeoutError:
            self._gateway.live.numbers.dropped.inc()
            if self._request.transport is not None:
                self._request.transport.abort()
            raise


class _Who:
    """Authenticates with the token of ``connection_init``, else with the upgrade request's token or session cookie."""

    def __init__(self, request: web.Request, gateway: Gateway, token: str) -> None:
        self._request = request
        self._gateway = gateway
        self._token = token
        self.known: User | None = None

    async def user(self) -> User:
        """Raises RequestError, Unavailable."""
        self.known = await self._ask()
        return self.known

    async def _ask(self) -> User:
        if self._token:
            return await self._gateway.auth.tokens.user(self._token)
        return await self._gateway.auth.guards.admit(Guard.PAGE, self._request)

    async def is_still_valid(self) -> bool:
        """True while the database cannot be reached, so that an outage disconnects nobody."""
        try:
            return await self._ask() == self.known
        except RequestError:
            return False
        except Unavailable:
            return True


def _token_in(payload: Json) -> str:
    """The token under the names of the HTTP headers, in any case."""
    given = {name.lower(): value for name, value in payload.items() if isinstance(value, str)}
    return given.get(TOKEN_HEADER.lower(), "") or given.get(hdrs.AUTHORIZATION.lower(), "").removeprefix("Bearer ")
