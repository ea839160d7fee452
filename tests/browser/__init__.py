"""The dashboard and the balanced page in a real Chromium.

    chromium   finds the system's browser and starts it
    stage      a balancer, its admin app and two demo backends, as the bundle has them
    screen     a page in the browser: what it shows, and what may be pressed there

Where there is no Chromium, all of it is skipped, and the end of the run says so.
"""
