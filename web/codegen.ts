import type { CodegenConfig } from '@graphql-codegen/cli'

const config: CodegenConfig = {
  schema: '../services/gateway/schema.graphql',
  documents: 'src/api/queries/*.graphql',
  generates: {
    'src/api/types.ts': {
      plugins: ['typescript-operations'],
      config: {
        useTypeImports: true,
        skipTypename: true,
        enumsAsTypes: true,
        avoidOptionals: { field: true },
        scalars: {
          Time: 'string',
          Any: 'unknown',
          NullableFloat: 'number | null',
          MetricScope: 'string',
          JobState: 'string',
          SchedulerState: 'string',
          MonitoringState: 'string',
        },
      },
    },
  },
}

export default config
