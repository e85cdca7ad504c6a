import { request } from './graphql.ts'

/** Store a personal setting. Raises ApiError. */
export async function storeSetting(key: string, value: unknown): Promise<void> {
  await request('frontend/configuration/', { method: 'POST', body: new URLSearchParams({ key, value: JSON.stringify(value) }) })
}

/** Whether the session is still good. Raises ApiError when the gateway cannot say. */
export async function signIn(username: string, password: string): Promise<string | null> {
  const response = await fetch(new URL('login', document.baseURI), {
    method: 'POST',
    headers: { Accept: 'application/json' },
    body: new URLSearchParams({ username, password }),
  })
  if (response.ok) return null
  const answer = (await response.json().catch(() => ({}))) as { error?: string }
  return answer.error ?? response.statusText
}

export async function signOut(): Promise<void> {
  await request('logout', { method: 'POST', headers: { Accept: 'application/json', 'X-Requested-With': 'jobtide' } })
}

/** The name of the user who is signed in now. Raises ApiError; 401 is also reported to the listener of `onExpired`. */
export const signedIn = async (): Promise<string> =>
  ((await (await request('frontend/session/')).json()) as { user: { username: string } }).user.username
