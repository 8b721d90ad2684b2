"""Tasks of other suites as families of this one."""
