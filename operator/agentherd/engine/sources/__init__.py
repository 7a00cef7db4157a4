"""Where metrics of people's own come from: one file for each kind of source.

A source turns a question into a number or into `NoAnswer`, which says why there is none. All of
them ask through one `Web`, which is where it is decided whom to ask at all and for how long: the
questions are written by whoever may write an Agent, and the answers by whoever they have named.
"""
