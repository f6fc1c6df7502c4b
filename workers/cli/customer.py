"""A customer's address as an argument of the command line."""

import click

from shared.messaging.customers.addresses import read_address


class CustomerParam(click.ParamType[str]):
    """A phone number or a business-scoped user id."""

    name = "phone"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        address = read_address(value)
        if address is None:
            self.fail(f"{value!r} is neither a phone number nor a business-scoped id (CC.xxxx)", param, ctx)
        return address


phone_argument = click.argument("phone", type=CustomerParam())
