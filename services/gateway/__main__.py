"""``python -m services.gateway``"""

from services.gateway.app import run
from services.gateway.settings import load_settings
from shared.service import main

main("gateway", lambda stop, report: run(load_settings(), stop, report))
