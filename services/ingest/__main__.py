from shared.service import importing, main

with importing():
    from services.ingest.app import run
    from services.ingest.settings import load_settings

if __name__ == "__main__":
    main("ingest", lambda stop, report: run(load_settings(), stop, report))
