from services.ingest.app import run
from services.ingest.settings import load_settings
from shared.service import main

if __name__ == "__main__":
    main("ingest", lambda stop, report: run(load_settings(), stop, report))
