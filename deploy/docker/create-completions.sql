CREATE DATABASE completions;
