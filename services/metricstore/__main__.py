from shared.service import importing, main

with importing():
    from services.metricstore.app import run
    from services.metricstore.settings import load_settings


if __name__ == "__main__":
    main("metricstore", lambda stop, report: run(load_settings(), stop, report))
