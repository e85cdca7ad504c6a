/** The colour table cividis: even steps of lightness, which people with any colour vision tell apart. Pure. */

// Sampled at even distances from 0 to 1; between them the table is nearly linear.
const SAMPLES = [
  [0, 32, 76],
  [0, 42, 102],
  [0, 52, 110],
  [39, 63, 108],
  [60, 74, 107],
  [76, 85, 107],
  [91, 95, 109],
  [104, 106, 112],
  [117, 117, 117],
  [131, 129, 120],
  [146, 140, 120],
  [161, 152, 118],
  [176, 165, 114],
  [192, 177, 109],
  [209, 191, 102],
  [225, 204, 92],
  [243, 219, 79],
  [255, 233, 69],
] as const

const STEPS = 256

function sample(share: number): [number, number, number] {
  const place = share * (SAMPLES.length - 1)
  const [from, to] = [SAMPLES[Math.floor(place)] ?? SAMPLES[0], SAMPLES[Math.ceil(place)] ?? SAMPLES[0]]
  const mixed = (channel: 0 | 1 | 2) => Math.round(from[channel] + (to[channel] - from[channel]) * (place % 1))
  return [mixed(0), mixed(1), mixed(2)]
}

const TABLE = Array.from({ length: STEPS }, (_, step) => sample(step / (STEPS - 1)))

/** The colour of a share from 0 to 1; shares outside get the colour of the nearer end. */
export const colourOf = (share: number): [number, number, number] =>
  TABLE[Math.round(Math.min(1, Math.max(0, share)) * (STEPS - 1))] ?? [0, 0, 0]

/** For a legend, as CSS. */
export const GRADIENT = `linear-gradient(to right, ${SAMPLES.map((rgb) => `rgb(${rgb.join(' ')})`).join(', ')})`
