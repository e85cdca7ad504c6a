// Reduces a picture to 256 colours: the most frequent ones, and for each other colour the nearest of them.
async (source) => {
  const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${source}`)).blob())
  const pen = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')
  pen.drawImage(bitmap, 0, 0)
  const { data } = pen.getImageData(0, 0, bitmap.width, bitmap.height)
  const pixels = new Uint32Array(data.buffer)
  const counts = new Map()
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1)
  const parts = (pixel) => [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255]
  const palette = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 256).map(([pixel]) => parts(pixel))
  const nearest = new Map()
  for (const pixel of counts.keys()) {
    const [red, green, blue] = parts(pixel)
    let [best, least] = [0, Infinity]
    for (const [index, [r, g, b]] of palette.entries()) {
      const distance = 3 * (red - r) ** 2 + 4 * (green - g) ** 2 + 2 * (blue - b) ** 2
      if (distance < least) [best, least] = [index, distance]
    }
    nearest.set(pixel, best)
  }
  const indexes = Uint8Array.from(pixels, (pixel) => nearest.get(pixel))
  return { width: bitmap.width, height: bitmap.height, palette: palette.flat(), indexes: indexes.toBase64() }
}
