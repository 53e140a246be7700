"""Users and their sessions, for admins; and what each list and form of the admin shares."""

from collections.abc import Sequence
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import BooleanRadioFilter, DropdownFilter
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.views import ChangeList

from jwtpizza.accounts import limits, selectors
from jwtpizza.accounts.models import Session, User
from jwtpizza.api.errors import DomainError
from jwtpizza.fields import key_of


def worker(request: HttpRequest) -> User:
    """Who works at this page: somebody who is let in."""
    return cast(User, request.user)


class Page(ModelAdmin):
    """A list and its forms. What isn't there, or is somebody else's, is 404; what services refuse is said there."""

    # Counting all rows only to say how many there would be without a filter costs more than the page.
    show_full_result_count = False
    list_filter_submit = True
    list_filter_sheet = False
    warn_unsaved_form = True

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """By the list's own filters alone: any other column would tell what it has, letter by letter, to a guesser."""
        names = [getattr(each, "parameter_name", None) or each[0] for each in self.get_list_filter(request)]
        return any(lookup == name or lookup.startswith(f"{name}_") for name in names)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row, for a change as it is once nobody else works on it; raises Http404."""
        found = super().get_object(request, object_id, from_field)
        if found and request.method == "POST" and connection.in_atomic_block:
            self.lock(found)
            found = super().get_object(request, object_id, from_field)
        if found is None:
            raise Http404
        return found

    def lock(self, row: Any) -> None:
        """Has whoever else would change it wait for this transaction."""
        self.model.objects.select_for_update().filter(pk=row.pk).first()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """What was changed and no more: the other columns may have changed since the row was read."""
        changed = {*form.changed_data}
        columns = [each.name for each in self.opts.concrete_fields if changed & {each.name, getattr(each, "of", "")}]
        obj.save(update_fields=columns if change else None)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> Any:
        """What is searched are keys (`KeyField`)."""
        return super().get_search_results(request, queryset, key_of(search_term))

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except DomainError as error:
            messages.error(request, error.message)
        except IntegrityError:
            messages.error(request, "Somebody was quicker: what you entered is in use. Nothing was changed.")
        return redirect(request.get_full_path())


class ReadOnly:
    """To be looked at: what is there is written by the services alone."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Running(DropdownFilter):
    """Of an `Ending` page: what is over, or is not."""

    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        self.until = model_admin.until
        return [(state, state) for state in model_admin.states]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        states = [state for state, _ in self.lookup_choices]
        asked = self.value()
        return queryset.filter(**{f"{self.until}__isnull": asked == states[0]}) if asked in states else queryset


class Ending(Page):
    """What ends and is never deleted, for orders point to it: once over, it stays as it was.

    `until` is the column that says when it ended, and `states` what it is called before and after.
    """

    until: str
    states: tuple[str, str]
    list_filter: Sequence[Any] = (Running,)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and getattr(obj, self.until, None) is None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        over = getattr(self.get_object(request, str(object_id)), self.until)
        return [] if over else super().get_actions_detail(request, object_id)

    @display(description="state", label={"running": "success", "over": "default"})
    def state(self, row: Any) -> tuple[str, str]:
        before, after = self.states
        return ("over", after) if getattr(row, self.until) else ("running", before)

    def ask_and_end(self, request: HttpRequest, object_id: str, *, verb: str) -> HttpResponse:
        """A page that says what ending it means, whose button ends it."""
        with transaction.atomic():
            row = self.get_object(request, object_id)
            if getattr(row, self.until):
                messages.info(request, f"{row} is {self.states[1]} already.")
            elif request.method != "POST":
                return self._ask(request, row, verb)
            else:
                self.end(row)
                self.log_change(request, row, f"It is {self.states[1]} now.")
                messages.success(request, f"{row} is {self.states[1]}.")
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def _ask(self, request: HttpRequest, row: Any, verb: str) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, "original": row, "verb": verb}
        told = {"title": f"{verb} {row}?", "consequences": self.consequences(row)}
        return TemplateResponse(request, "admin/ask.html", context | told)

    def consequences(self, row: Any) -> Sequence[str]:
        """What ending it means, in sentences."""
        raise NotImplementedError

    def end(self, row: Any) -> None:
        """Ends it, through a service."""
        raise NotImplementedError


class WithRoles(ChangeList):
    """A page of users that knows their roles, whatever their number in the same queries."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        users: list[Any] = list(self.result_list)  # type: ignore[has-type]
        roles = selectors.roles(users)
        for user in users:
            user.role_names = [role["role"] for role in roles[user.pk]]
        self.result_list = users


@admin.register(User)
class PeopleAdmin(Page, UserAdmin):
    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    ordering = ("pk",)
    list_display = ("email", "name", "roles", "is_active", "seen_at")
    list_filter = (("is_superuser", BooleanRadioFilter), ("is_active", BooleanRadioFilter))
    search_fields = ("email_key", "name_key")
    filter_horizontal = ()
    readonly_fields = ("created_at", "seen_at")
    fieldsets = (
        (None, {"fields": ("name", "email", "password", "is_superuser", "is_active", "created_at", "seen_at")}),
    )
    add_fieldsets = ((None, {"fields": ("name", "email", "password1", "password2", "is_superuser")}),)
    actions = ("let_in_again", "end_sessions")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """What is left of a deleted user is nobody to work on."""
        return super().get_queryset(request).filter(deleted_at=None)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WithRoles

    def lock(self, row: Any) -> None:
        """All admins first: of two who take the other's role at once, the second is told that somebody has to stay."""
        selectors.locked_admins()
        super().lock(row)

    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with transaction.atomic():
            return super().user_change_password(request, *args, **kwargs)

    @display(description="roles", label={"admin": "primary", "franchisee": "info", "diner": "default"})
    def roles(self, user: User) -> tuple[str, str]:
        names: list[str] = user.role_names  # type: ignore[attr-defined]
        return names[-1], ", ".join(dict.fromkeys(names))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A user is erased through the API, which keeps the orders and the last admin; here one can be disabled."""
        return False

    @admin.action(description="Let them log in again", permissions=["change"])
    def let_in_again(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            limits.forgive(user=user)
            self.log_change(request, user, "Failed logins forgotten.")
        self.message_user(request, "Their failed logins are forgotten.")

    @admin.action(description="End their sessions", permissions=["change"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            user.end_sessions()
            self.log_change(request, user, "Sessions ended.")
        self.message_user(request, "Their sessions are ended.")


@admin.register(Session)
class SessionAdmin(Page):
    """To look at and to end; a session begins with a login."""

    list_display = ("user", "created_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("user__email_key", "user__name_key")
    # As the index has them: there may be a million.
    ordering = ("-user_id", "-expires_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# Roles are all that ours have: an admin, or who stands among a franchise's admins.
admin.site.unregister(Group)
