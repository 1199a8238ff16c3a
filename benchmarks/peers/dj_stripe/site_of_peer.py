"""dj-stripe's webhook view in the smallest Django site that holds it: `python site_of_peer.py`
makes its database, gunicorn serves `application`.

DATABASE_* , STRIPE_WEBHOOK_SECRET and STRIPE_API_BASE say where and how.
"""

import os

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

ENDPOINT = "6f9d2a54-5e0b-4b6e-9a3e-5f1f6d6f3c11"

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="benchmark",
    USE_TZ=True,
    USE_I18N=False,
    APPEND_SLASH=False,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "djstripe",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ["DATABASE_NAME"],
            "HOST": os.environ["DATABASE_HOST"],
            "PORT": os.environ["DATABASE_PORT"],
            "USER": os.environ["DATABASE_USER"],
            "CONN_MAX_AGE": None,
        }
    },
    # Tables straight from the models: its migrations take a minute, and lead to the same.
    MIGRATION_MODULES={"auth": None, "contenttypes": None, "djstripe": None},
    STRIPE_TEST_SECRET_KEY="sk_test_benchmarkbenchmark00000000",
    STRIPE_LIVE_MODE=False,
    STRIPE_API_HOST=os.environ["STRIPE_API_BASE"],
    DJSTRIPE_FOREIGN_KEY_TO_FIELD="id",
    LOGGING={
        "version": 1,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "loggers": {"django": {"handlers": ["console"], "level": "ERROR"}},
    },
)

django.setup()
urlpatterns = [path("stripe/", include("djstripe.urls", namespace="djstripe"))]


def prepare() -> None:
    """Make the tables and the endpoint."""
    from django.core.management import call_command
    from djstripe.models import WebhookEndpoint

    call_command("migrate", run_syncdb=True, verbosity=0)
    WebhookEndpoint.objects.create(
        id="we_benchmark",
        djstripe_uuid=ENDPOINT,
        secret=os.environ["STRIPE_WEBHOOK_SECRET"],
        livemode=False,
        url="http://127.0.0.1/",
        status="enabled",
        api_version="2026-10-28.endive",
        enabled_events=["*"],
    )


if __name__ == "__main__":
    prepare()
else:
    application = get_wsgi_application()
