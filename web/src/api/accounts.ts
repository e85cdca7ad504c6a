/** Tokens of oneself, and for admins the users and the notice. All raise ApiError. */

import { request } from './graphql.ts'

export interface Token {
  id: string
  label: string
  roles: string[]
  username: string
  program: boolean
  issued: number
  issuedBy: string
  expires: number | null
  /** The cluster of a link to a wall screen. */
  wall: string | null
}

export interface Account {
  username: string
  name: string
  email: string
  roles: string[]
  projects: string[]
  authSource: number
}

export interface NewAccount {
  username: string
  password: string
  role: string
  name: string
  email: string
  project: string
}

export type AccountChange = 'add-role' | 'remove-role' | 'add-project' | 'remove-project'

export const ownTokens = async (): Promise<Token[]> => (await (await request('frontend/tokens/')).json()) as Token[]

/** Those of all users, for admins. */
export const allTokens = async (): Promise<Token[]> => (await (await request('config/tokens/')).json()) as Token[]

/** The token itself, which is shown once and not stored. Admins issue tokens for others, and for programs. */
export async function issueToken(username: string, label: string, isForProgram = false): Promise<string> {
  const asked = new URLSearchParams({ username, label, ...(isForProgram && { program: 'true' }) })
  return (await request(`frontend/jwt/?${asked.toString()}`)).text()
}

export const revokeAnyToken = async (id: string): Promise<void> => {
  await request(`config/tokens/${encodeURIComponent(id)}`, { method: 'DELETE' })
}

export const changePassword = async (current: string, password: string): Promise<void> => {
  await request('frontend/password/', { method: 'POST', body: new URLSearchParams({ current, password }) })
}

export const setPassword = async (name: string, password: string): Promise<void> => {
  await request(`config/user/${encodeURIComponent(name)}/password/`, { method: 'POST', body: new URLSearchParams({ password }) })
}

export const revokeToken = async (id: string): Promise<void> => {
  await request(`frontend/tokens/${encodeURIComponent(id)}`, { method: 'DELETE' })
}

export const accounts = async (): Promise<Account[]> => (await (await request('config/users/')).json()) as Account[]

export const createAccount = async (account: NewAccount): Promise<void> => {
  await request('config/users/', { method: 'POST', body: new URLSearchParams({ ...account }) })
}

export const changeAccount = async (name: string, change: AccountChange, value: string): Promise<void> => {
  await request(`config/user/${encodeURIComponent(name)}`, { method: 'POST', body: new URLSearchParams({ [change]: value }) })
}

export const removeAccount = async (username: string): Promise<void> => {
  await request('config/users/', { method: 'DELETE', body: new URLSearchParams({ username }) })
}

export const setNotice = async (content: string): Promise<void> => {
  await request('config/notice/', { method: 'POST', body: new URLSearchParams({ 'new-content': content }) })
}
