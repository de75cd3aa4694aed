"""Scheduling: how the loops of a program run."""

from tenfoldc.schedule.modes import schedule as schedule
