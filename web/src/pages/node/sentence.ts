import { isEmpty, type Curve } from '../../charts/curve.ts'
import { withUnit } from '../../lib/formats/number.ts'

/** For those who do not see the plot. */
export function sentence(curve: Curve, host: string): string {
  const start = `${curve.title} of ${host}: `
  return isEmpty(curve)
    ? `${start}no samples`
    : `${start}mean ${withUnit(curve.mean, curve.unit)}, largest ${withUnit(curve.largest, curve.unit)}`
}
