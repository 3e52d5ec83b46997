"""Who people are: users of a business, their passwords, second factors and sessions; operators of the installation.

What it is not: it decides nothing about what somebody may do (`kernel.permissions` does), and draws no page.

Invariants:
- a password is kept as argon2id and nowhere else; a token, link or recovery code is kept as its hash;
- a link, a recovery code and a one-time code are each used by one guarded statement: of two at once, one wins;
- an unknown address and a wrong password get the same answer after the same work;
- a session that was ended, or whose user was deactivated, opens nothing from the next request on;
- nobody gives or takes permissions that they do not have; a business keeps an owner.
"""
