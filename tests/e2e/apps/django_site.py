"""A Django project in one file: `python django_site.py runserver --noreload 127.0.0.1:PORT`.

A form with a CSRF token, a session-like cookie beside it, redirects of both kinds, and the absolute URL that Django
makes of what it was sent.
"""

import sys

import django  # type: ignore[import-untyped]
from django.conf import settings  # type: ignore[import-untyped]
from django.core.management import execute_from_command_line  # type: ignore[import-untyped]
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect  # type: ignore[import-untyped]
from django.middleware.csrf import get_token  # type: ignore[import-untyped]
from django.urls import path  # type: ignore[import-untyped]

settings.configure(
    DEBUG=True,
    SECRET_KEY="only-for-this-test",
    ALLOWED_HOSTS=["shop.localhost", "up.localhost"],
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),  # as README says
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
)
django.setup()


def form(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        answer = HttpResponseRedirect(request.build_absolute_uri("/thanks/"))
        answer.set_cookie("name", request.POST["name"], samesite="Lax")
        answer.set_cookie("seen", "yes")
        return answer
    return HttpResponse(
        f'<form method="post"><input type="hidden" name="csrfmiddlewaretoken" value="{get_token(request)}">'
        '<input name="name"><button>Send</button></form>'
    )


def thanks(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>Thanks, {request.COOKIES.get('name', 'nobody')}</p>")


urlpatterns = [path("form/", form), path("thanks/", thanks)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
