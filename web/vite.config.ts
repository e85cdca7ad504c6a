import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'
import { compress } from './plugins/compress.ts'

const GATEWAY = process.env['JOBTIDE_GATEWAY'] ?? 'http://127.0.0.1:8080'

export default defineConfig({
  base: './', // relative to <base href>, which the gateway sets
  plugins: [svelte(), compress()],
  build: {
    outDir: '../services/gateway/web/dist',
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0, // the content policy allows no scripts or styles in attributes
    modulePreload: { polyfill: false },
    manifest: true, // tests read the sizes of the first view from it
    sourcemap: false,
    rolldownOptions: {
      output: {
        // What every page needs is one file (not all of lib is), and what the job list and the pages with short lists of jobs need is another: they
        // compress better than forty, and a browser asks for six at once.
        codeSplitting: {
          groups: [
            {
              name: 'base',
              test: /src\/(lib\/(?!csv|tag-scopes)|live|router|texts\/en\/frame|frame\/overlays|navigation|components\/(Icon|Menu|Message)|api\/(graphql|documents|session|metrics))|src\/[\w-]+\.svelte\.ts|node_modules\/svelte|preload-helper/,
            },
            {
              name: 'jobs',
              test: /src\/(charts\/curve|texts\/en\/jobs|api\/(jobs|tags)|components\/(StateBadge|Time|Meter|JobDuration|Pager|Chip|AdviceMarks)|pages\/jobs\/(metric-choice|selection\.|patch|reach|RowCheck|columns|plots\.ts|filters|FilterBar|tag-names|list|loader|cursor|JobsPage|JobRows|JobTable|JobCell))/,
            },
            // Small parts of many pages: every file costs a line in the list of files that the first view loads.
            {
              name: 'parts',
              test: /src\/(lib\/tag-scopes|components\/(CheckList|ConfirmButton|Dialog|LabelledSelect|Sheet|Sparkline|TableDialog))/,
            },
            { name: 'use', test: /src\/pages\/use\/(?!\w+Page)/ },
          ],
        },
      },
    },
  },
  worker: { format: 'es' },
  server: {
    proxy: Object.fromEntries(['/api', '/query', '/frontend', '/login', '/logout'].map((path) => [path, GATEWAY])),
  },
})
