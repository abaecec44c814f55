"""For every test: no proof of exposure by connecting, unless the test is on a machine of its own (a namespace)."""

import os

# Before anything of devproxy's runs, and inherited by whatever a test starts.
os.environ["DEVPROXY_NO_PROOF"] = "1"
