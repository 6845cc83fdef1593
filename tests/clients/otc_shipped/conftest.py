"""The cloud that the tests inside otcextensions find: who they are, a network
for their load balancer, and the two products that vpcepd does not stand in for.

Those tests read their cloud when they are imported, so this is set up before.
"""

import os

from openstack.connection import Connection

import openrc
from controller import Controller
from otc_shipped.elsewhere import LoadBalancers, Networks


def pytest_configure():
    account = Controller.of_this_run().account("shipped")
    # They look for a VPC that is there, and put their balancer into it.
    account.network("10.0.0.0/24")
    # Some of them sleep as long as the limit that they have by default.
    os.environ |= openrc.password(account) | {"OS_CLOUD": "envvars", "OS_TEST_TIMEOUT": "60"}

    original = Connection.__init__

    def with_the_rest_of_the_cloud(self, *arguments, **settings):
        original(self, *arguments, **settings)
        self._proxies |= {"network": Networks(account), "elbv3": LoadBalancers(account)}

    Connection.__init__ = with_the_rest_of_the_cloud


def pytest_sessionfinish(session):
    """Fails where they skip: what they miss is for this directory to provide."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter.stats.get("skipped"):
        session.exitstatus = 1
