/** By rising privilege. */
export const ROLES = ['api', 'user', 'manager', 'support', 'admin']
