"""A stand-in for the platform's gateway: signs users in, routes to Payments, serves the page.

What the page may rely on. Bodies are JSON in camelCase, times RFC 3339 in UTC.

GET    /session          {"user": {"id", "email", "name"} | null}: who is signed in
GET    /session/users    [{"id", "email", "name"}, …]: who may sign in; there are no passwords
POST   /session          {"user": id of one of these, or "new" for somebody who has never been
                         here} → 201, as GET /session. 404 for any other user.
DELETE /session          sign out → 204
*      /api/payments/…   the service, as it is: status, headers and body in both directions. The
                         gateway puts the signed-in user's token into Authorization and drops
                         whatever the client had put there; 502 (a problem document) while the
                         service is away.
GET    /sandbox/status   {"stripe": {"now", "url", "controlPanel"}, "usersView": null |
                         {"hasAccess", "subscriptions": [{"id", "status", "plan", "interval",
                         "version", "accessUntil"}]}}: the time at Stripe, by which the service
                         lives too, and what the users service believes of the signed-in user.
                         Stripe.js is at url + "/v3/"
POST   /sandbox/clock    {"days": n} (above 0, at most 3,660) → GET /sandbox/status, once so much
                         time has passed and every webhook of it was answered
GET    /.well-known/jwks.json   the keys that tokens are verified with
GET    /…                the page: files of web/dist, and its index.html for every path that names
                         no file; a small page of our own until there is a web/dist

The session is a cookie that scripts cannot read (HttpOnly, SameSite=Lax), so that the page's
requests to its own origin need no token. What changes something is refused (403) if it comes from
another origin. Pages carry a Content-Security-Policy that lets scripts, frames and connections of
Stripe's stand-in in besides the page's own, and nothing else.

identity  demo users, their tokens, the key behind them
proxy     requests to the service and its answers
pages     the files of the page
app       the routes
"""
