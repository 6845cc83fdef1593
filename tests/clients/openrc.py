"""The four ways in which the OpenStack clients of Open Telekom Cloud are told
who they are, as variables of the environment."""


def password(account):
    """A user's name and password, at the identity service."""
    return {
        "OS_AUTH_URL": f"{account.controller.url}/v3",
        "OS_USERNAME": account.name,
        "OS_PASSWORD": account.password,
        "OS_USER_DOMAIN_NAME": account.name,
        "OS_PROJECT_NAME": account.controller.region,
        "OS_PROJECT_DOMAIN_NAME": account.name,
        "OS_REGION_NAME": account.controller.region,
        "OS_IDENTITY_API_VERSION": "3",
    }


def token(account):
    """A token, changed for another at the identity service."""
    return {
        "OS_AUTH_TYPE": "v3token",
        "OS_AUTH_URL": f"{account.controller.url}/v3",
        "OS_TOKEN": account.token,
        "OS_PROJECT_ID": account.project_id,
        "OS_REGION_NAME": account.controller.region,
    }


def token_alone(account):
    """A token and the address of the API; nobody else is asked."""
    return {
        "OS_AUTH_TYPE": "admin_token",
        "OS_TOKEN": account.token,
        "OS_ENDPOINT": f"{account.controller.url}/v1/{account.project_id}",
    }


def override(account):
    """A password, and an address other than the catalog's."""
    url = account.controller.url.replace("127.0.0.1", "localhost")
    return password(account) | {"OS_VPCEP_ENDPOINT_OVERRIDE": f"{url}/v1/%(project_id)s"}


WAYS = [password, token, token_alone, override]
