import { jobsBands } from '../../api/bands.ts'
import { metricConfigs } from '../../api/metrics.ts'
import { JobPlots } from './plots.svelte.ts'

export const makePlots = (): JobPlots => new JobPlots({ jobsBands, metricConfigs })
