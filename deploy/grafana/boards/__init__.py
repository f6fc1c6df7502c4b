"""What each dashboard shows. `deploy.grafana.model` knows how a panel is drawn, and where it stands."""

from typing import Final

from deploy.grafana.boards.campaigns import CAMPAIGNS
from deploy.grafana.boards.dead_letters import DEAD_LETTERS
from deploy.grafana.boards.notices import NOTICES
from deploy.grafana.boards.overview import OVERVIEW
from deploy.grafana.boards.queues import QUEUES
from deploy.grafana.boards.recovery import RECOVERY
from deploy.grafana.boards.sending import SENDING
from deploy.grafana.boards.servers import SERVERS

#: From what an operator looks at first to what is looked at last.
BOARDS: Final = (OVERVIEW, QUEUES, SENDING, CAMPAIGNS, RECOVERY, NOTICES, DEAD_LETTERS, SERVERS)
