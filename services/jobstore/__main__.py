from shared.service import importing, main

with importing():
    from services.jobstore.app import run
    from services.jobstore.settings import load_settings

if __name__ == "__main__":
    main("jobstore", lambda stop, report: run(load_settings(), stop, report))
