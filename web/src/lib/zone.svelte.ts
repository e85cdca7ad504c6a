/** The zone in which times are shown: an IANA name such as `UTC`; undefined is the browser's. */
class Zone {
  name = $state<string | undefined>()
}

export const zone = new Zone()
