from services.jobstore.app import run
from services.jobstore.settings import load_settings
from shared.service import main

if __name__ == "__main__":
    main("jobstore", lambda stop, report: run(load_settings(), stop, report))
