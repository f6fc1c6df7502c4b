"""Nobody sends us elsewhere: a redirect is no answer of the platform, and the token does not go along."""

import asyncio

from aiohttp import web
from pydantic import SecretStr

from shared.durations import DURATIONS
from shared.settings.settings import Settings
from workers.outbound_sender.calling.answer import Lost
from workers.outbound_sender.calling.cloud_api import CloudApi


async def test_a_redirect_is_not_followed() -> None:
    heard: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        heard.append(request.path)
        if request.path == "/elsewhere":
            return web.json_response({"messages": [{"id": "wamid.of-somebody"}]})
        raise web.HTTPTemporaryRedirect("/elsewhere")

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    api = CloudApi(Settings(whatsapp_api_url=url, whatsapp_access_token=SecretStr("secret-token")), DURATIONS)
    try:
        said = await api.send("1001", b"{}", asyncio.get_running_loop().time())
    finally:
        await api.close()
        await runner.cleanup()

    assert heard == ["/v25.0/1001/messages"]
    assert isinstance(said, Lost)
    assert said.http_status == 307
