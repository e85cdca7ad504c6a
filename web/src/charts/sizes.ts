/** Left of the values, and right of them (half of the longest time below the right edge), in CSS pixels: the same for plots and maps, so that their
 * times stand below each other. */
export const VALUES_PX = 54
export const RIGHT_PX = 26
