"""Docker images of the servers, pinned by minor version; `docker-compose.yml` names the same ones."""

from deploy.stack.records import Kind

IMAGES = {
    Kind.RABBITMQ: "rabbitmq:4.2-management",
    Kind.POSTGRES: "postgres:17.6",
    Kind.REDIS: "redis:7.4",
}
