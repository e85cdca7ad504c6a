/** Requests to the gateway. This folder is the only one that fetches. */

/** The answer was no data. `status` is that of HTTP; 0: the gateway was not reached. */
export class ApiError extends Error {
  readonly status: number
  /** Of errors of GraphQL, such as NOT_FOUND; else empty. */
  readonly code: string
  constructor(status: number, message: string, code = '') {
    super(message)
    this.status = status
    this.code = code
  }
}

type Listener = () => void
let expired: Listener = () => undefined

/** Called when an answer says that the session has ended. */
export function onExpired(listener: Listener): void {
  expired = listener
}

const url = (path: string) => new URL(path, document.baseURI)

/** Raises ApiError; an aborted request raises the reason of its signal. */
export async function query<Result, Variables>(text: string, variables: Variables, signal?: AbortSignal): Promise<Result> {
  const response = await request('query', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query: text, variables }),
    ...(signal ? { signal } : {}),
  })
  const answer = (await response.json()) as { data: Result | null; errors?: { message: string; extensions?: { code?: string } }[] }
  const failure = answer.errors?.[0]
  if (failure || answer.data === null)
    throw new ApiError(response.status, failure?.message ?? 'the answer has no data', failure?.extensions?.code)
  return answer.data
}

/** Raises ApiError for what is no success, except for GraphQL's own errors, which have a body that says more. */
export async function request(path: string, options: RequestInit = {}): Promise<Response> {
  let response: Response
  try {
    response = await fetch(url(path), { credentials: 'same-origin', ...options })
  } catch (e) {
    if (options.signal?.aborted) throw e
    throw new ApiError(0, 'the gateway cannot be reached')
  }
  if (response.status === 401) expired()
  if (!response.ok && !(path === 'query' && response.status === 422)) throw new ApiError(response.status, await reason(response))
  return response
}

async function reason(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { error?: string; errors?: { message: string }[] }
    return body.error ?? body.errors?.[0]?.message ?? response.statusText
  } catch {
    return response.statusText || `status ${String(response.status)}`
  }
}
