"""Reading what is known: when something failed (`troubles`), all the figures of an incident (`facts`), what to tell
(`notices`).
"""
