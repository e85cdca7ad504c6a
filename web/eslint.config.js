import svelte from 'eslint-plugin-svelte'
import { defineConfig } from 'eslint/config'
import ts from 'typescript-eslint'
import svelteConfig from './svelte.config.js'

// What each room may import: the arrows of the house. A room is a folder of src.
const ROOMS = {
  lib: ['lib'],
  texts: ['texts', 'lib'],
  api: ['api', 'lib'],
  live: ['live', 'api', 'lib'],
  charts: ['charts', 'lib'],
  components: ['components', 'charts', 'lib', 'texts'],
  pages: ['pages', 'components', 'charts', 'live', 'api', 'lib', 'texts', 'router', 'session.ts'],
}
const ALL = ['lib', 'texts', 'api', 'live', 'charts', 'components', 'pages', 'router']

const arrows = Object.entries(ROOMS).map(([room, allowed]) => ({
  files: [`src/${room}/**/*.{ts,svelte}`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: ALL.filter((other) => !allowed.includes(other)).map((other) => ({
          regex: `^(\\.\\./)+${other}/`,
          message: `src/${room} may not import src/${other} (web/README.md).`,
        })),
      },
    ],
  },
}))

export default defineConfig(
  { ignores: ['node_modules', 'src/api/types.ts'] },
  ts.configs.strict,
  ts.configs.stylistic,
  svelte.configs.recommended,
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser, svelteConfig } },
    rules: {
      'svelte/no-navigation-without-resolve': 'off', // a rule of SvelteKit
      'svelte/prefer-svelte-reactivity': 'off', // state is replaced, never changed in place
    },
  },
  {
    rules: {
      'max-lines': ['error', { max: 150, skipBlankLines: false, skipComments: false }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'no-restricted-globals': [
        'error',
        { name: 'fetch', message: 'Only src/api fetches.' },
        { name: 'EventSource', message: 'Only src/live.' },
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: 'SvelteHTMLElement SvelteAttribute[key.name="style"]',
          message: 'The content policy refuses style attributes; use style:name={value}.',
        },
        {
          selector: 'VariableDeclarator[id.type="ObjectPattern"][init.name="texts"]',
          message: 'Write texts.name: a pattern takes the texts of all pages into the first view.',
        },
      ],
    },
  },
  { files: ['src/api/**', 'src/live/source.ts'], rules: { 'no-restricted-globals': 'off' } },
  ...arrows,
)
