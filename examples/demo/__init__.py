"""The demo: `make demo`, or `python -m examples.demo` on a cluster that is up.

Everything it does is done with kubectl and shown as it is typed, so that each step can be
repeated by hand. It may be run again at any time; what is there already stays.

    __main__    what is shown, in its order
    upgrade     an Agent is changed to a good version, and to a bad one
    swap        another version of a model takes over, and the first one comes back
    change      something is changed under load, and what became of that
    timeline    how such a change looks, stage by stage
    load        requests at a fixed rate, and who answered them
    shell       kubectl, a request, and patience for both
    terminal    how text is shown
"""
