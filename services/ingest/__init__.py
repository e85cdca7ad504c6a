"""ingest: translates raw messages of the stream INTAKE to events or rejections. Stateless; any number of replicas may run."""
