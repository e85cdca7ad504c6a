"""``python -m services.gateway``"""

from shared.service import importing, main

with importing():
    from services.gateway.app import run
    from services.gateway.settings import load_settings

main("gateway", lambda stop, report: run(load_settings(), stop, report), new_objects=10_000)
